"""What rollcore and seq2seq cost, one question a file, with the peers beside them."""
