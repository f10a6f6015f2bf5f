"""What runs before and beside the program: engine, images, toolchain."""
