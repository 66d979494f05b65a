# Pool: descriptions and calls.
