"""From the framework's own layers to ours, and back."""
