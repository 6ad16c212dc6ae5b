"""Pages of HTML that need nothing else: the page of a molecule, and what every report is made of."""
