"""ESC-10: the 400 recordings of ESC-50 whose ten classes are easily told apart (`esc50.csv`)."""

from schemas.manifests.sound_archives.esc50 import HOME as HOME
from schemas.manifests.sound_archives.esc50 import esc_table

TABLE = esc_table("esc10", ten=True)
read_clips, read_events, vocabulary = TABLE.read_clips, TABLE.read_events, TABLE.vocabulary
