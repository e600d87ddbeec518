package check

func (w *world) warnings() []string { return nil }
