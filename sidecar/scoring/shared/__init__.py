"""A scorer that several processes of one machine share, over sockets between them."""
