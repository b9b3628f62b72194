"""What MLproject calls: each reads the command line and runs one study."""
