"""From files to files: batches of pictures, their names, records and reports."""
