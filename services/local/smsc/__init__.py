"""A real SMPP 3.4 SMS centre for one machine: it behaves as its profile says and records all."""
