"""Weight editors: methods of the papers that change a model's parameters, and what they share.

A method computes deltas; :mod:`scr.editors.weights.patch` alone writes them into the model and takes them out again.
Layers, positions, contexts, targets and statistics are each found in one place for all methods.
"""
