/* Frames of 1 MiB from a camera to a screen, without a copy.
 *
 * The camera reserves room in the queue, draws there, and commits; the screen
 * peeks at the next frame, reads it where it lies, and releases it.  put and
 * get would do the same with a copy at each end.
 *
 * If the camera is killed before the commit its frame is skipped; if the
 * screen is killed before the release, the next one to peek gets that frame. */
#include <ipc/ipc.h>

#include <err.h>
#include <errno.h>
#include <stdio.h>

enum {
    FRAMES = 50,
    FRAME_BYTES = 1 << 20,
    PIXELS = FRAME_BYTES / sizeof(uint32_t),
    AT_ONCE = 4
};

static void check(int rc)
{
    if (rc < 0)
        errx(1, "frames: %s: %s", ipc_strerror(rc), ipc_error_detail());
}

static void draw(uint32_t *pixels, uint32_t frame)
{
    for (uint32_t i = 0; i < PIXELS; i++)
        pixels[i] = i ^ frame;
}

static bool is_fine(const uint32_t *pixels, uint32_t frame)
{
    for (uint32_t i = 0; i < PIXELS; i++)
        if (pixels[i] != (i ^ frame))
            return false;
    return true;
}

static int camera(void *arg)
{
    ipc_queue *frames = arg;
    ipc_message message;

    for (uint32_t i = 0; i < FRAMES; i++) {
        check(ipc_queue_reserve(frames, FRAME_BYTES, &message));
        draw(message.data, i);
        if (i % 10 == 9) /* blurred */
            check(ipc_queue_abort(frames, &message));
        else
            check(ipc_queue_commit(frames, &message));
    }
    check(ipc_queue_close(frames, false));
    return 0;
}

/* How many frames came, all of them fine. */
static int screen(ipc_queue *frames)
{
    ipc_message message;
    uint32_t number = 0;
    int rc, shown = 0;

    while ((rc = ipc_queue_peek(frames, &message)) == 0) {
        if (number % 10 == 9)
            number++;
        if (message.bytes != FRAME_BYTES || !is_fine(message.data, number++))
            errx(1, "a frame is not what was drawn");
        check(ipc_queue_release(frames, &message));
        shown++;
    }
    if (rc != -EPIPE)
        check(rc);
    return shown;
}

int main(void)
{
    ipc_queue_options options = IPC_QUEUE_OPTIONS_INIT;
    ipc_queue *frames;
    ipc_process p;
    int shown;

    options.capacity = AT_ONCE;
    options.bytes = (size_t)AT_ONCE * FRAME_BYTES;
    check(ipc_queue_new(&options, &frames));
    ipc_process_init(&p, camera, frames, NULL);
    check(ipc_process_start(&p));
    shown = screen(frames);
    check(ipc_process_join(&p));
    ipc_process_close(&p);
    check(ipc_queue_free(frames));

    printf("%d frames of %d drawn were shown, in place\n", shown, FRAMES);
    return 0;
}
