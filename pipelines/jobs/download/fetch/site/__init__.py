"""What only a site needs: cookies that it renews, a browser's handshake, its own protocol."""
