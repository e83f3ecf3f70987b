"""Building blocks: convolutions, upsampling, pooling, losses, boxes, divergences."""
