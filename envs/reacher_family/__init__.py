"""ReacherVertical, ReacherTurn and ReacherPush: a two-joint arm in a vertical plane (paper, appendix A)."""
