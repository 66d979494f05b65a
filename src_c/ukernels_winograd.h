/* Winograd kernels: part of the table in ukernels.h.
 *
 * A tile is 6 x 6 pixels of the input; it yields m x m outputs of an r x r kernel, m + r = 7, 2 <= r <= 5. For kernels of one row or
 * one column it is 1 x 6 or 6 x 1 pixels, 1 x m or m x 1 outputs. Between the transforms a tile is 36 positions, or 6, and each
 * position is a matrix product of its own:
 *   forward          M[p] (tiles, k)     = V[p] (tiles, c) U[p] (c, k)
 *   weight gradient  U'[p] (c, k)        = V[p]^T (c, tiles) D[p] (tiles, k)
 * V = B^T x B, U = G w G^T, y = A^T M A, D = A dy A^T, dw = G^T U' G; of a row or column, V = B^T x and so on. The transforms read and write positions that lie
 * `position` elements apart. */
#ifndef FC_UKERNELS_WINOGRAD_H
#define FC_UKERNELS_WINOGRAD_H

enum { FC_WINOGRAD_TILE = 6, FC_WINOGRAD_POSITIONS = 36, FC_WINOGRAD_R_MIN = 2, FC_WINOGRAD_R_MAX = 5 };
/* Tiles of 6 x 6, of 1 x 6 and of 6 x 1. */
enum { FC_WINOGRAD_SQUARE, FC_WINOGRAD_ROW, FC_WINOGRAD_COLUMN, FC_WINOGRAD_SHAPES };

/* V of one tile, all channels: lane l of vector b goes to v[p * position + b * block + l]; lanes past the channels are zero.
 * Pixels outside rows row0 .. row1 - 1 and columns col0 .. col1 - 1 of the tile are zero; x is pixel (row0, col0). */
typedef struct {
    const void *x;
    ptrdiff_t row, pixel; /* elements from row to row, from pixel to pixel */
    ptrdiff_t channels;
    int row0, row1, col0, col1;
    void *v;
    ptrdiff_t position, block;
    int m;     /* columns from tile to tile */
    int ahead; /* whether to fetch the next tile of the row */
} fc_winograd_input_args;

/* U of one panel, u[p * position + c * nr + k] for c < rows, k < nr; zero for k >= columns. Tap t of the kernel, row by
 * row, is w[t * tap + c * ld + k]; tap is negative for a rotated kernel. */
typedef struct {
    const void *w;
    ptrdiff_t tap, ld, rows, columns, nr;
    void *u;
    ptrdiff_t position;
} fc_winograd_weights_args;

/* The outputs of one tile for one panel, of which rows row0 .. row1 - 1 and columns col0 .. col1 - 1 are stored, k < columns:
 * y[(i - row0) * row + (j - col0) * pixel + k] = act(bias[k] + ...). */
typedef struct {
    const void *m;
    ptrdiff_t position;
    ptrdiff_t columns;
    const void *bias; /* or NULL */
    void *y;
    ptrdiff_t row, pixel;
    int row0, row1, col0, col1;
    int relu;
    int ahead; /* whether to fetch the next tile of the row */
    uint8_t *index; /* by output_pooled only */
} fc_winograd_output_args;

/* D of one tile for one panel: d[p * position + k], k < nr, zero for k >= columns; sum[k] += the sum of the tile, k < nr. */
typedef struct {
    const void *dy;
    ptrdiff_t row, pixel;
    int rows, cols;
    ptrdiff_t columns, nr;
    void *d;
    ptrdiff_t position;
    void *sum;
    int ahead;
} fc_winograd_gradient_args;

/* dw of one panel: w[i * row_tap + j * tap + c * ld + k] = (G^T U' G)[i][j], i < row_taps, j < taps, from u[p * position + c * nr + k],
 * c < rows, k < columns. */
typedef struct {
    const void *u;
    ptrdiff_t position, nr;
    void *w;
    ptrdiff_t row_tap, tap, ld, rows, columns;
    int row_taps, taps;
    int stream; /* whether to store past the caches: rows of w are aligned and whole vectors in pairs */
} fc_winograd_dw_args;

typedef struct {
    void (*input)(const fc_winograd_input_args *args);
    void (*weights)(const fc_winograd_weights_args *args);
    void (*output)(const fc_winograd_output_args *args);
    /* The same where all outputs of a tile of even m are stored, but for the maxima of windows of 2 x 2, y[i * row + j * pixel + k], and which
     * of them they are, at index as y, unless that is NULL. Or NULL. */
    void (*output_pooled)(const fc_winograd_output_args *args);
    void (*gradient)(const fc_winograd_gradient_args *args);
    void (*dw)(const fc_winograd_dw_args *args);
} fc_winograd_transforms;

/* V of a row of tiles of an image with few channels: v[tile][36][channels], or with few_depth
 * v[tile / few_tiles][36][few_tiles][few_depth], `tiles` of them and a vector of what has no meaning. x is
 * 6 rows of the image, NULL outside of it, `elements` long. `lines` holds 6 rows of `line` elements that are 0 where they are not
 * written: the rows, transformed, from element `before` on;
 * with few_depth pixels take up as many elements each. */
typedef struct {
    const void *x[FC_WINOGRAD_TILE];
    ptrdiff_t elements, before, line, channels, tiles;
    void *lines, *v;
} fc_winograd_few_input_args;

/* y of a row of tiles of 4 x 4 outputs, for 2 to 4 input channels, `width` pixels and `rows` <= 4, for `columns` output channels. u is
 * [columns / lanes][pieces][36][channels][lanes]. The pieces of the kernel, whose results are added up, have a v each, v_piece elements apart; the
 * first short_pieces of them have fewer than 3 rows of taps. v holds tiles up to a multiple of few_tiles. All channels of some tiles are written before
 * the next: lines of memory are fetched in their order. */
typedef struct {
    const void *v, *u;
    const void *bias; /* or NULL */
    void *y;
    ptrdiff_t pieces, short_pieces, v_piece;
    ptrdiff_t row, pixel, channels, columns, width;
    int rows, relu;
    int fetch; /* lines of y, while their tiles are computed */
} fc_winograd_few_args;

/* The same for planes: V of `rows` rows of `tiles` tiles of one plane, v[p * position + row * tiles + tile], and up to a vector of what has no meaning.
 * x is its 4 * rows + 2 rows of pixels with their padding, 4 vectors more than a tile per lane reads. lines holds four phases of as many rows, where every
 * fourth pixel lies side by side: a tile for each, one more, and up to two vectors. */
typedef struct {
    const void *x;
    ptrdiff_t x_row, rows, tiles;
    void *lines;
    ptrdiff_t phase;
    void *v;
    ptrdiff_t position;
} fc_winograd_few_planes_input_args;

/* Neighbouring pixels of an output plane that a quarter of a vector of tiles yields: `rows` rows, width pixels each if they are fewer than a vector
 * has, from plane[at] on. */
typedef struct {
    ptrdiff_t at, width;
    int rows;
} fc_winograd_few_run;

/* y of some vectors of tiles for all output channels, plane after plane, of few input channels: v[(channel * 36 + p) * position + tile], u as above of one piece, the planes
 * of y `plane` elements apart. Every vector has four runs, whose tiles are neighbours. */
typedef struct {
    const void *v, *u;
    ptrdiff_t position;
    const void *bias; /* or NULL */
    void *y;
    ptrdiff_t plane, row, channels, columns, vectors;
    const fc_winograd_few_run *run;
    int relu;
} fc_winograd_few_planes_args;

/* M (+)= V U of a vector of output channels and some tiles, 1 <= tiles <= FC_WINOGRAD_REGISTERS_TILES, with weights of 3 x 3 taps that are
 * transformed in registers: w[c][9][lanes], v[((c / lanes * 36 + p) * FC_WINOGRAD_REGISTERS_TILES + t) * lanes + c % lanes], m[p * m_position +
 * t * m_tile + lane]. Of the rows of positions only
 * the first `rows` are computed. For positions 6 i .. 6 i + 5 and input channel c the lines at next + i * next_pass + c * next_step and, to the outer cache,
 * at ahead + (i * depth + c) * ahead_step are fetched, which need not exist. */
enum { FC_WINOGRAD_REGISTERS_TILES = 4 };
typedef struct {
    const void *w, *v;
    ptrdiff_t depth;
    void *m;
    ptrdiff_t m_position, m_tile;
    int tiles, rows, accumulate;
    const char *next;
    ptrdiff_t next_pass, next_step;
    const char *ahead;
    ptrdiff_t ahead_step;
} fc_winograd_registers_args;

/* out[i * nr + j] (+)= sum over c < depth of a[(c / lanes * mr + i) * lanes + c % lanes] * u[c * nr + j]: i < rows of the kernel, j < nr.
 * Chunks of the sum, a multiple of the lanes each, are summed apart. What will be read soon is fetched from `next` on, next_bytes for
 * each c; it need not exist. */
typedef void (*fc_winograd_gemm_fn)(const void *a, const void *u, ptrdiff_t depth, ptrdiff_t chunk, void *out, int accumulate, const void *next,
                                    ptrdiff_t next_bytes);
/* acc[i * nr + j] (+)= sum over t < depth of a[t * step + i] * d[t * nr + j]. Fetches as above, for each t. */
typedef void (*fc_winograd_wgrad_fn)(const void *a, ptrdiff_t step, const void *d, ptrdiff_t depth, void *acc, int accumulate, const void *next,
                                     ptrdiff_t next_bytes);

/* Matrix products for panels of nr output channels; entry [i] computes i rows. */
typedef struct {
    int nr;
    fc_winograd_gemm_fn gemm[FC_MR_MAX + 1];
    fc_winograd_wgrad_fn wgrad[FC_MR_MAX + 1];
} fc_winograd_panel;

typedef struct {
    int lanes, mr; /* mr 0: no Winograd for this element type */
    fc_winograd_panel panel[2]; /* the wide one, and half of it */
    void (*few_input)(const fc_winograd_few_input_args *args);
    void (*few)(const fc_winograd_few_args *args);
    int few_tiles, few_depth;
    void (*few_planes_input)(const fc_winograd_few_planes_input_args *args);
    void (*few_planes)(const fc_winograd_few_planes_args *args); /* or NULL */
    void (*registers)(const fc_winograd_registers_args *args); /* or NULL: vectors of half a line do not pay */
    fc_winograd_transforms transforms[FC_WINOGRAD_SHAPES][FC_WINOGRAD_R_MAX - FC_WINOGRAD_R_MIN + 1]; /* by shape of the tile, and r */
} fc_winograd_kernels;

#endif
