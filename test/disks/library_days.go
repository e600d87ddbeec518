package disks

// HibernateFile has room for a swap file in its root.
var HibernateFile = Layout{Name: "hibernate-file", Disks: one(640), Steps: []Step{
	GPT{On: "d0", Parts: []Part{{Name: "root"}}},
	FS{On: "root", Type: "ext4", Content: tiny},
}}
