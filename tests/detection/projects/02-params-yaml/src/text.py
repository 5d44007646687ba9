def words(line, lower):
    text = line.split("\t")[2].strip()
    return (text.lower() if lower else text).split()
