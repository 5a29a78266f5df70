"""How charts look: one Altair theme, in force wherever this module is imported, drawn for the width of a page."""

import altair as alt

WIDTH = 880  # pixels of a chart with all that belongs to it: the column of a page, so fonts are shown as large as drawn
AXIS = 62  # of these, what the labels and the title of a vertical axis take
SPACING = 18  # pixels between two panels


def panel_width(columns: int) -> int:
    """The width, in pixels, of each of so many panels side by side in a chart `WIDTH` wide, every one with its axes."""
    return (WIDTH - 10 - columns * AXIS - (columns - 1) * SPACING) // columns


@alt.theme.register("dyne", enable=True)
def theme() -> alt.theme.ThemeConfig:
    """The theme: white, plain fonts of 12 pixels and more, faint grids."""
    return {
        "config": {
            "font": "Helvetica, Arial, sans-serif",
            "background": "white",
            "axis": {
                "labelFontSize": 12,
                "labelFlush": False,
                "titleFontSize": 13,
                "titleFontWeight": "normal",
                "gridColor": "#ececec",
                "domainColor": "#888888",
                "tickColor": "#888888",
            },
            "legend": {
                "labelFontSize": 13,
                "titleFontSize": 13,
                "titleFontWeight": "normal",
                "labelLimit": 400,
                "symbolStrokeWidth": 3,
                "symbolSize": 110,
            },
            "title": {
                "fontSize": 14,
                "fontWeight": "normal",
                "subtitleFontSize": 12,
                "subtitleColor": "#555555",
                "subtitlePadding": 4,
            },
            "view": {"stroke": "#dddddd"},
            "concat": {"spacing": SPACING},
        }
    }
