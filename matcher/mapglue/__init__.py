"""MapGlue: a Saliency-Enhanced SuperPoint, semantic context and a dual graph that matches maps with visible images.

The paper (arXiv 2503.16185) names these parts; sizes, losses and everything measured are this project's own.
"""
