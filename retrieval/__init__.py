"""Cross-view retrieval: embeddings of several modalities -> exact search -> metrics with intervals.

The benchmark is that of MMLandmarks (Kristoffersen et al., arXiv 2512.17492): from a photograph on the ground, an
aerial image or a text to the images or the place of the same landmark. Embeddings may come from any model.
"""
