"""Files that somebody has spoiled, saves that are killed, signatures."""
