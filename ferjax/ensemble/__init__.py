"""Many members as one program: stacked parameters, trained and run side by side."""
