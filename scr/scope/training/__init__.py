"""Training of the scope classifier: data sets to records, records to labelled pairs, pairs to weights."""
