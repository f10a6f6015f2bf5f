package storage

import (
	"bytes"
	"context"
	"io"
)

// SmallFile is the most that is written in one piece, in bytes. Tests make it less.
var SmallFile = 4 << 20

// largeFiles is full while three of the larger ones are written: object stores take buffers of 20 MiB for
// each.
var largeFiles = make(chan struct{}, 3)

// WriteWhole makes a file of some content once all of it is read and right returns true: it is there
// whole, or not at all. It returns the size, and what right has returned. What isn't whole yet is at the
// path partial, unless the storage hides it.
func (s *Store) WriteWhole(
	ctx context.Context, file, partial string, content io.Reader, right func() bool,
) (size int64, ok bool, err error) {
	start, err := io.ReadAll(io.LimitReader(content, int64(SmallFile)))
	if err != nil {
		return 0, false, err
	}
	if len(start) < SmallFile {
		if !right() {
			return 0, false, nil
		}
		return int64(len(start)), true, s.PutContent(ctx, file, start)
	}
	select {
	case largeFiles <- struct{}{}:
		defer func() { <-largeFiles }()
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	if s.WritesWhole() {
		partial = file
	}
	writer, err := s.Writer(ctx, partial, false)
	if err != nil {
		return 0, false, err
	}
	defer writer.Close()
	size, err = io.Copy(writer, ContextReader{ctx, io.MultiReader(bytes.NewReader(start), content)})
	if err != nil || !right() {
		_ = writer.Cancel(context.WithoutCancel(ctx))
		return 0, false, err
	}
	if err := writer.Commit(ctx); err != nil {
		return 0, false, err
	}
	if partial != file {
		err = s.Move(ctx, partial, file)
	}
	return size, err == nil, err
}

// ContextReader ends with its context, which drivers look at only when a request begins.
type ContextReader struct {
	Context context.Context
	Reader  io.Reader
}

func (r ContextReader) Read(into []byte) (int, error) {
	if err := r.Context.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(into)
}
