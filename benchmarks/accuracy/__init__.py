"""How well every model forecasts the UCI house, on the cards T1–T5, beside references and peers."""
