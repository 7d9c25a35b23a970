"""The port's side, in this interpreter or in another."""
