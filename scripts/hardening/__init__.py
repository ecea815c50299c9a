"""Long runs that look for what tests of single cases miss: fuzzing of the wire, leaks under load."""
