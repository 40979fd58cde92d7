"""Colours of every figure and page: eight that people with any colour vision tell apart.

Source: Okabe, Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/. Scales of one
value are `cividis`, made for the same people; around zero it is `PuOr_r`, for shares one hue from
white on.
"""

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, YELLOW, BLACK = "#E69F00", "#56B4E9", "#F0E442", "#000000"
GREY = "#7A7A7A"

SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""Lines and bars of one figure, in order."""
TRUTH, PREDICTION = BLUE, VERMILION
"""What is so, and what a net says."""
SCALE, AROUND_ZERO, SHARE = "cividis", "PuOr_r", "Blues"
"""Colour maps of values from low to high, below and above zero, and from none to all."""
