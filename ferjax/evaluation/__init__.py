"""From predictions to tables and pictures; touches no model and no device, so scores from any
framework are welcome."""
