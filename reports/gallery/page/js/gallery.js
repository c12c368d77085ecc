"use strict";

/**
 * The one global name. Scripts run in the order of the page: this one, the parts of the page, the data, `app.js`.
 * @namespace
 */
const Gallery = { data: {} };
