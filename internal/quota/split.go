package quota

// Split takes up to n permits out of the set and returns them as a set of their
// own, good for as long as the first. 0 or less takes none.
func (p Permits) Split(n int) Permits {
	if p.set == nil || n <= 0 {
		return Permits{}
	}
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	part := &permits{limiter: p.set.limiter, until: p.set.until}
	if part.unnamed = min(n, p.set.unnamed); part.unnamed > 0 {
		p.set.unnamed -= part.unnamed
		return Permits{part}
	}
	at := len(p.set.names) - min(n, len(p.set.names))
	part.names = append(part.names, p.set.names[at:]...)
	p.set.names = p.set.names[:at]
	part.limiter.watch(part)
	return Permits{part}
}
