# Elementwise: descriptions and calls.
