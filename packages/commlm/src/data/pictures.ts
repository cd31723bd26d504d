/** Opens a store of pictures by its configuration. */
import type { PictureStoreConfig } from '../config/data.js';
import type { PictureStore } from './sample.js';
import { openFolder } from './stores/folder.js';
import { openParquet } from './stores/parquet.js';
import { openTable } from './stores/table.js';
import { openTar } from './stores/tar.js';
import { openZipStore } from './stores/zip.js';

/** Opens a picture store. @throws CommError `data/picture` when what it names is missing or damaged. */
export async function openPictureStore(config: PictureStoreConfig): Promise<PictureStore> {
  switch (config.kind) {
    case 'folder':
      return await openFolder(config.folder);
    case 'zip':
      return await openZipStore(config.file);
    case 'tar':
      return await openTar(config.files);
    case 'parquet':
      return await openParquet(config.files, {
        image: config.image,
        key: config.key,
      });
    case 'tsv':
      return await openTable(config.file, config.columns);
  }
}
