"""What a person gets: figures, notation, pictures, pages."""
