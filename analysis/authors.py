"""The authors' numbers, read off their released plots."""

# Returns read off the authors' released plots (from states 2 seeds, from pixels 8), after so many steps; from pixels
# those of pretraining are among them.
_READ = (400_000, 1_000_000, 3_000_000)
AUTHORS: dict[str, dict[str, dict[int, float]]] = {
    "ReacherVertical-v2": {
        "TD3": {50_000: -9},
        "DynE-TD3": {50_000: -8},
        "SA-DynE-TD3": dict(zip(_READ, (-9.0, -8.1, -7.5), strict=True)),
        "S-DynE-TD3": dict(zip(_READ, (-9.2, -7.8, -6.8), strict=True)),
        "VAE-TD3": dict(zip(_READ, (-23.5, -21.3, -19.8), strict=True)),
        "Pixel-TD3": dict(zip(_READ[:2], (-26, -27), strict=True)),  # below -30 at the third
    },
    "ReacherTurn-v2": {
        "SA-DynE-TD3": dict(zip(_READ, (-145, -113, -88), strict=True)),
        "S-DynE-TD3": dict(zip(_READ, (-194, -156, -110), strict=True)),
        "VAE-TD3": dict(zip(_READ, (-220, -224, -212), strict=True)),
        "Pixel-TD3": dict(zip(_READ, (-248, -272, -272), strict=True)),
    },
    "ReacherPush-v2": {
        "SA-DynE-TD3": dict(zip(_READ, (-161, -138, -124), strict=True)),
        "S-DynE-TD3": dict(zip(_READ, (-173, -170, -187), strict=True)),
        "VAE-TD3": dict(zip(_READ, (-209, -208, -222), strict=True)),
    },  # Pixel-TD3: below -300
}
# The returns that the authors' plots of methods from states span.
AUTHORS_RANGE: dict[str, tuple[float, float]] = {
    "ReacherVertical-v2": (-20, -5),
    "ReacherTurn-v2": (-210, -75),
    "ReacherPush-v2": (-200, -60),
    "Pusher-v2": (-60, -20),
    "Striker-v2": (-350, -130),
    "Thrower-v2": (-800, -40),
}
