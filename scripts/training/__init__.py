"""How the bundled model is made: collections, mining, the student, its training and its measures."""
