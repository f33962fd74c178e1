"""A piece or a dataset for eyes and ears: pictures, sound, words."""
