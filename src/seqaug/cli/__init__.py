"""Who asks: the command line. click and rich live here and nowhere else; importing this does not import torch."""
