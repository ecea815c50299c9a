"""What the other side's protocol means. Pure, but for the connection that commands open."""
