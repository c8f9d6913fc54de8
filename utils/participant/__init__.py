"""Taking part in a published task from a PC, with data that stay at home: `python3 -m utils.participant --help`."""
