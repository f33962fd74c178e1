"""Where music comes from: folders, lists, archives, the sample pack, the standard .mat files."""
