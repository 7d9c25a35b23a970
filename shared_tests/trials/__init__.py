"""What the cases catch, and how rarely they cry wolf."""
