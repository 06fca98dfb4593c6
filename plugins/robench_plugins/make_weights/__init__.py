"""How the weights in ``weights/`` were made: pretraining of the small CLIPs and of the ResNet surrogate."""
