"""A mesh's texture painted from views: pictures of it by several cameras, put back onto its UV map.

texels    which place of the surface each texel shows
sight     one view: what it paints, and how well it shows a place
blending  which view paints which texel, and what no view shows
job       the request, from files to layers
"""
