"""What a program asks the machine that it runs on: its clock, its ffmpeg, its precision."""
