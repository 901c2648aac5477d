"""What the frames of a shot have in common, and how strokes stick to what they are painted on.

camera    where the camera of a frame stands, read off its Position pass
surfaces  what a frame shows: which object, which place; and where another frame shows the same
moves     how objects moved from frame to frame
record    shot.json
scan      looks at a shot once and writes it
strokes   what is painted, read between its pixels, and kinds of it laid over each other
light     what becomes of strokes when light changes
coarse    planes that have a value for every few pixels
silhouettes  where things end, and how far strokes reach across
held      frames whose strokes are held by the shot's anchors, each made alone
carried   frames whose strokes are carried on from the frame before
coming    what comes into view of those, painted as a part of what is there
steady    both of them for a batch of frames
flicker   how much of a result does not stick
"""
