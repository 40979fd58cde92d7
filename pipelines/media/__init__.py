"""One local media file: which clip it holds, what is in it, its frames and samples. No Beam."""
