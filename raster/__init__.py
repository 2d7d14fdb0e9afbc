"""The common floor of all rooms: where pixels lie, how they map onto each other, and how rasters are read.

Pixel coordinates are (x, y) float with (0, 0) at the centre of the top-left pixel. Images in memory are uint8,
H x W x 3, RGB; masks are bool, H x W, True where there is data.
"""
