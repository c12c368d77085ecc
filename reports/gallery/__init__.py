"""The gallery: a static page of all samples of runs, side by side, that works from `file://` without a server.

`build` makes it: `folder` holds what is written, `pictures` and `outline` make what is looked at, `rows` and `columns`
make what the page knows of samples and of runs, `again` says how to make an image again, `head` and `page` make the
page. The page's own code is in `page/`.
"""
