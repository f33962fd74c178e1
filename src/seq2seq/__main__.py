"""`python -m seq2seq` is the command `seq2seq`."""

from seq2seq.entry import seq2seq

seq2seq()
