"""What a serving process needs: preprocessing, reading a person's own sketches. Imports no torch."""
