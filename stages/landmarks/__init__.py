"""The stages of the recipe `landmarks`: landmarks with ground photographs, aerial images of several years and texts."""
